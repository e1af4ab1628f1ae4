"""The market as its record alone says it was: for who wants to prove that what is stored is what happened."""
