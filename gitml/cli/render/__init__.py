"""How results look to a person, by the subject of the command."""
