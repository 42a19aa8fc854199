"""Images and their objects as data sets describe them. No torch here."""
