"""Files read and written whole, locked, or recognised. No other room of the project is known here."""
