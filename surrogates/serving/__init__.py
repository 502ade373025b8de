"""Train and score the serving surrogate: effects of engine and chip on the physics of LLM deployments."""
