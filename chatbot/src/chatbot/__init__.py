"""A multi-tenant chatbot that answers from each tenant's own documents."""
