"""Brings the chatbot and the responder up on one machine, breaks the chatbot on purpose, and scores the response."""
