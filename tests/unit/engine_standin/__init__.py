"""Tests of the stand-in for Prisma's engine. A package, so that what its tests share ends with the last of them."""
