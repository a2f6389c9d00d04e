complete --keep-order --exclusive --command rmq --arguments "(RMQ_COMPLETE=fish rmq -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
