"""Amazon Bedrock's wire formats."""
