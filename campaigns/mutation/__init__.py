"""Small changes to the code that guards, each of which some test has to notice."""
