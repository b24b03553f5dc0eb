"""The rules, one room for each question; each rule gives all of its objections to a case."""
