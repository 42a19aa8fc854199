"""Images and their objects as datasets describe them. No torch here."""
