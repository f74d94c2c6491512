"""Hosts by which more than one part of the program knows a provider."""

AZURE = (
    "openai.azure.com",
    "cognitiveservices.azure.com",
    "services.ai.azure.com",
    "openai.azure.us",
    "cognitiveservices.azure.us",
)
"""What the hosts of Azure OpenAI and Foundry end with: a resource's name stands before it. Those of
Azure Government end with `.us`."""
