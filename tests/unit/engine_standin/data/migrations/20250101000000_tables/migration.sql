CREATE TABLE "LiteLLM_VerificationToken" (
    "token" TEXT NOT NULL PRIMARY KEY,
    "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    "models" TEXT[],
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "aliases" JSONB,
    "blocked" BOOLEAN,
    "expires" TIMESTAMP(3)
);
