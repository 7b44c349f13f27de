-- Refused inside a transaction, as some of LiteLLM's are.
CREATE INDEX CONCURRENTLY IF NOT EXISTS "LiteLLM_VerificationToken_spend_idx" ON "LiteLLM_VerificationToken"("spend");
