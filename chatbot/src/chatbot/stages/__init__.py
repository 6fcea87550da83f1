"""What is done with a question: `answer` finds passages, orders them, and has a model say what they say."""
