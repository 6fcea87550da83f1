"""The only SQL of the chatbot."""
