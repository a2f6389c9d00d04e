# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rmq_global_optspecs
    string join \n o/output= columns= namesrv= color= no-progress utc v/verbose h/help V/version
end

function __fish_rmq_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rmq_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rmq_using_subcommand
    set -l cmd (__fish_rmq_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rmq -n "__fish_rmq_needs_command" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_needs_command" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_needs_command" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_needs_command" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_needs_command" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_needs_command" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_needs_command" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_needs_command" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "serve" -d 'Run the node: name server and broker'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "send" -d 'Send messages to a topic'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "consume" -d 'Look at the messages of a topic, or consume them as a group'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "inspect" -d 'Look into a store directory, without a broker'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "clock" -d 'Show the clock of the brokers, or move a virtual one'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "completion" -d 'Print the completion script of a shell'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "man" -d 'Print a manual page (read it with `rmq man | man -l -`)'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "generate" -d 'Write the completion scripts and manual pages of this version'
complete -c rmq -n "__fish_rmq_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l role -d 'What this process is' -r -f -a "all\t'Name server and broker'
namesrv\t'Name server alone'
broker\t'Broker alone'"
complete -c rmq -n "__fish_rmq_using_subcommand serve" -s c -l config -d 'Configuration file: Apache\'s broker.conf, or the same keys in YAML' -r -F
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l data-dir -d 'Where the data is kept [default: the platform\'s data directory]' -r -F
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l listen -d 'Address to listen on; ADDR:0 takes free ports [default: 127.0.0.1; all addresses if another one is advertised]' -r
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l port -d 'Port of the name server, 0 for any free one [default: 9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l broker-port -d 'Port of the broker, 0 for any free one; the port two below is taken as well [default: 10911]' -r
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l advertise -d 'Host that clients are told to connect to' -r
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l fsync -d 'When an acknowledged message is on the disk: `interval` soon after, `always` before' -r -f -a "interval\t'Soon after the acknowledgement (`ASYNC_FLUSH`)'
always\t'Before the acknowledgement (`SYNC_FLUSH`)'"
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l topic -d 'Create these topics before the node is ready' -r
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l set -d 'Any setting of Apache\'s broker, as in broker.conf' -r
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l ready-file -d 'Write addresses and ports to this file once messages are accepted (JSON; removed at the end)' -r -F
complete -c rmq -n "__fish_rmq_using_subcommand serve" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l ephemeral -d 'Keep the data in a temporary directory that disappears at the end'
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l virtual-clock -d 'Time stands still until `rmq clock advance` moves it: delays, retries and retention in the hands of a test'
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand serve" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand serve" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand serve" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand send" -l input -d 'Form of stdin: jsonl takes what \'consume -o jsonl\' printed' -r -f -a "text\t'All of it is one body'
jsonl\t'Every line is a message as consume -o jsonl prints it'"
complete -c rmq -n "__fish_rmq_using_subcommand send" -l tag -d 'Tag that consumers filter by' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -s k -l key -d 'Key to find the message by; may be repeated' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -s H -l property -d 'Property of the message; may be repeated' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l count -d 'Send each message so many times' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l queue -d 'Send to this queue only; with several brokers name one with --broker' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l broker -d 'The broker of --queue' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l delay-level -d 'Deliver later: level 1 (1 s) to 18 (2 h)' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l delay -d 'Deliver after so long' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l at -d 'Deliver at this time' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l batch -d 'Send up to N messages in one request' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l window -d 'Requests under way at a time' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l timeout -d 'Longest time for one message, all tries together' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l retry -d 'Tries on another broker after a failure' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l producer-group -d 'Producer group' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand send" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand send" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand send" -l lines -d 'Every line of stdin is a message'
complete -c rmq -n "__fish_rmq_using_subcommand send" -s 0 -l null -d 'Messages on stdin end with a zero byte instead of a line end'
complete -c rmq -n "__fish_rmq_using_subcommand send" -l oneway -d 'Do not wait for acknowledgements'
complete -c rmq -n "__fish_rmq_using_subcommand send" -l no-compress -d 'Do not pack bodies of 4 KiB and more'
complete -c rmq -n "__fish_rmq_using_subcommand send" -l dry-run -d 'Show what would be sent'
complete -c rmq -n "__fish_rmq_using_subcommand send" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand send" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand send" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand send" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand consume" -s g -l group -d 'Join this consumer group and move its offsets' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l from -d 'Where to begin: earliest, latest, -100 (the last hundred), an offset, or a time (-10m, 2026-11-22T10:00)' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l to -d 'End at this time, or at the end there was at the start' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -s n -l count -d 'End after so many messages; exit 9 if there were fewer' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l idle -d 'End when nothing has come for so long' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l timeout -d 'End after so long' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l queue -d 'Only these queues, by number' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l tag -d 'Only messages with one of these tags: \'a || b\'' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -s k -l key -d 'Only messages with this key' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -s f -l format -d 'Print each message in this form instead, e.g. \'%p:%o %s\\n\'' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l follow -d 'Go on with what comes in'
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l dry-run -d 'With --group: show what the group would get, without joining it or moving its offsets'
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand consume" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand consume" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand consume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand consume" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -f -a "info" -d 'Show what there is in a store, and whether its log is whole'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -f -a "commitlog" -d 'List the records of the commit log, with fillers, ends and damage between them'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -f -a "consumequeue" -d 'List the entries of consume queues'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -f -a "index" -d 'List the key index, or find the messages of a key'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -f -a "checkpoint" -d 'Show the checkpoint: up to where the log, the queues and the index were on the disk'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and not __fish_seen_subcommand_from info commitlog consumequeue index checkpoint help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from info" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l from-offset -d 'Begin at this position of the log, or at the next record behind it' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -s n -l count -d 'Stop after this many messages' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l topic -d 'Only messages of this topic' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l queue -d 'Only messages of queues with this number' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l key -d 'Only messages with this key, unique key or message id' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l body -d 'Print bodies of any size, not only those up to 400 bytes'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from commitlog" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l topic -d 'Only queues of this topic' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l queue -d 'Only queues with this number' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l from -d 'Begin at this entry of each queue' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -s n -l count -d 'Stop after this many entries' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l resolve -d 'Add the message that each entry leads to'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from consumequeue" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -l key -d 'Find the messages with this key or unique key; the log is read to tell equal hashes apart' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -l topic -d 'With --key: only in this topic [default: every topic of the store]' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -s n -l count -d 'Stop after this many entries' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -l resolve -d 'Add the message that each entry leads to (always done with --key)'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from index" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from checkpoint" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from help" -f -a "info" -d 'Show what there is in a store, and whether its log is whole'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from help" -f -a "commitlog" -d 'List the records of the commit log, with fillers, ends and damage between them'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from help" -f -a "consumequeue" -d 'List the entries of consume queues'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from help" -f -a "index" -d 'List the key index, or find the messages of a key'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from help" -f -a "checkpoint" -d 'Show the checkpoint: up to where the log, the queues and the index were on the disk'
complete -c rmq -n "__fish_rmq_using_subcommand inspect; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -f -a "show" -d 'Show what time it is for each broker'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -f -a "advance" -d 'Move a virtual clock forward; what comes due is delivered at once'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and not __fish_seen_subcommand_from show advance help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -l broker -d 'Only this broker, not all the name servers know' -r
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -l broker -d 'Only this broker, not all the name servers know' -r
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from advance" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what time it is for each broker'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from help" -f -a "advance" -d 'Move a virtual clock forward; what comes due is delivered at once'
complete -c rmq -n "__fish_rmq_using_subcommand clock; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq -n "__fish_rmq_using_subcommand completion" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand completion" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand completion" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand completion" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand completion" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand completion" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand completion" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand completion" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand man" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand man" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand man" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand man" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand man" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand man" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand man" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand man" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand generate" -s o -l output -d 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]' -r -f -a "table\t'Aligned columns for reading'
wide\t'The table with all its columns'
json\t'One JSON document'
jsonl\t'One JSON object a line'
yaml\t'YAML documents'
csv\t'Comma-separated values with a header'
tsv\t'Tab-separated values without a header'
name\t'Only the name of each thing, one a line'"
complete -c rmq -n "__fish_rmq_using_subcommand generate" -l columns -d 'Only these columns, in this order (field names as in -o json)' -r
complete -c rmq -n "__fish_rmq_using_subcommand generate" -l namesrv -d 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]' -r
complete -c rmq -n "__fish_rmq_using_subcommand generate" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or TERM is dumb'
always\t'Also in a pipe'
never\t'Never'"
complete -c rmq -n "__fish_rmq_using_subcommand generate" -l no-progress -d 'No progress bars'
complete -c rmq -n "__fish_rmq_using_subcommand generate" -l utc -d 'Print times in UTC instead of the local zone'
complete -c rmq -n "__fish_rmq_using_subcommand generate" -s v -l verbose -d 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
complete -c rmq -n "__fish_rmq_using_subcommand generate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq -n "__fish_rmq_using_subcommand generate" -s V -l version -d 'Print version'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "serve" -d 'Run the node: name server and broker'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "send" -d 'Send messages to a topic'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "consume" -d 'Look at the messages of a topic, or consume them as a group'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "inspect" -d 'Look into a store directory, without a broker'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "clock" -d 'Show the clock of the brokers, or move a virtual one'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "completion" -d 'Print the completion script of a shell'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "man" -d 'Print a manual page (read it with `rmq man | man -l -`)'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "generate" -d 'Write the completion scripts and manual pages of this version'
complete -c rmq -n "__fish_rmq_using_subcommand help; and not __fish_seen_subcommand_from serve send consume inspect clock completion man generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq -n "__fish_rmq_using_subcommand help; and __fish_seen_subcommand_from inspect" -f -a "info" -d 'Show what there is in a store, and whether its log is whole'
complete -c rmq -n "__fish_rmq_using_subcommand help; and __fish_seen_subcommand_from inspect" -f -a "commitlog" -d 'List the records of the commit log, with fillers, ends and damage between them'
complete -c rmq -n "__fish_rmq_using_subcommand help; and __fish_seen_subcommand_from inspect" -f -a "consumequeue" -d 'List the entries of consume queues'
complete -c rmq -n "__fish_rmq_using_subcommand help; and __fish_seen_subcommand_from inspect" -f -a "index" -d 'List the key index, or find the messages of a key'
complete -c rmq -n "__fish_rmq_using_subcommand help; and __fish_seen_subcommand_from inspect" -f -a "checkpoint" -d 'Show the checkpoint: up to where the log, the queues and the index were on the disk'
complete -c rmq -n "__fish_rmq_using_subcommand help; and __fish_seen_subcommand_from clock" -f -a "show" -d 'Show what time it is for each broker'
complete -c rmq -n "__fish_rmq_using_subcommand help; and __fish_seen_subcommand_from clock" -f -a "advance" -d 'Move a virtual clock forward; what comes due is delivered at once'
