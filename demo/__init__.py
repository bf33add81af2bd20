"""The demonstration: small raw samples, written for this project, in the formats of the seven LLaMA domains."""
