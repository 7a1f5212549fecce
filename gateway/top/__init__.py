"""`tickgate top`: the dashboard in a terminal. What its modules are, from the command down.

command    one run: connects, follows, draws, reads keys; exit codes
watch      what has been heard so far, and how old that is
screen     which blocks fit into so many lines and columns
blocks     one block for each thing to be seen
words      figures and states in words, and text that can't style a terminal
now        the document that the gateway sends each second
"""
