"""The load test behind `tickgate bench`: what its modules are, from the command down.

command               options and exit codes; peers, compare
bench                 the floor, the run or the search for a limit, the verdict
  limit               which rate to try next
  overload            beyond the limit, with the latency controller watching and acting
run                   one run: server, clients and source are started, followed, ended
  target endpoint     the server under load, its URL
  children processes  what was started; what the kernel says of it
  clock               how the server's clock and ours are related
  watch timeline      the run as it goes; progress: how it is shown; ladder: the way back
scenario rules        what is to be done, read from TOML; what may not be said together
  profiles            which client asks for what, and who should get it
  schedule            which tick is due when
swarm_process         a process of clients, native; link: its messages
source                the process that sends ticks, native; source_link: its messages
floor                 the process of the bare loop of send()
merge assemble        from what all processes counted to a result
result thresholds     the result, and whether it holds
  summary class_table report charts interchange units markdown environment
                      for terminal, page and other tools; of which machine
  compare             two results
peers                 beside other servers: peer (what they are), peers_table
"""
