"""From a shop owner's words to a prompt: presets, what the words say, language models and the checks on their answers."""
