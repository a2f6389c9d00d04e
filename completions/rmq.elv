
use builtin;
use str;

set edit:completion:arg-completer[rmq] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'rmq'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'rmq'= {
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand serve 'Run the node: name server and broker'
            cand send 'Send messages to a topic'
            cand consume 'Look at the messages of a topic, or consume them as a group'
            cand inspect 'Look into a store directory, without a broker'
            cand clock 'Show the clock of the brokers, or move a virtual one'
            cand completion 'Print the completion script of a shell'
            cand man 'Print a manual page (read it with `rmq man | man -l -`)'
            cand generate 'Write the completion scripts and manual pages of this version'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'rmq;serve'= {
            cand --role 'What this process is'
            cand -c 'Configuration file: Apache''s broker.conf, or the same keys in YAML'
            cand --config 'Configuration file: Apache''s broker.conf, or the same keys in YAML'
            cand --data-dir 'Where the data is kept [default: the platform''s data directory]'
            cand --listen 'Address to listen on; ADDR:0 takes free ports [default: 127.0.0.1; all addresses if another one is advertised]'
            cand --port 'Port of the name server, 0 for any free one [default: 9876]'
            cand --broker-port 'Port of the broker, 0 for any free one; the port two below is taken as well [default: 10911]'
            cand --advertise 'Host that clients are told to connect to'
            cand --fsync 'When an acknowledged message is on the disk: `interval` soon after, `always` before'
            cand --topic 'Create these topics before the node is ready'
            cand --set 'Any setting of Apache''s broker, as in broker.conf'
            cand --ready-file 'Write addresses and ports to this file once messages are accepted (JSON; removed at the end)'
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --ephemeral 'Keep the data in a temporary directory that disappears at the end'
            cand --virtual-clock 'Time stands still until `rmq clock advance` moves it: delays, retries and retention in the hands of a test'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;send'= {
            cand --input 'Form of stdin: jsonl takes what ''consume -o jsonl'' printed'
            cand --tag 'Tag that consumers filter by'
            cand -k 'Key to find the message by; may be repeated'
            cand --key 'Key to find the message by; may be repeated'
            cand -H 'Property of the message; may be repeated'
            cand --property 'Property of the message; may be repeated'
            cand --count 'Send each message so many times'
            cand --queue 'Send to this queue only; with several brokers name one with --broker'
            cand --broker 'The broker of --queue'
            cand --delay-level 'Deliver later: level 1 (1 s) to 18 (2 h)'
            cand --delay 'Deliver after so long'
            cand --at 'Deliver at this time'
            cand --batch 'Send up to N messages in one request'
            cand --window 'Requests under way at a time'
            cand --timeout 'Longest time for one message, all tries together'
            cand --retry 'Tries on another broker after a failure'
            cand --producer-group 'Producer group'
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --lines 'Every line of stdin is a message'
            cand -0 'Messages on stdin end with a zero byte instead of a line end'
            cand --null 'Messages on stdin end with a zero byte instead of a line end'
            cand --oneway 'Do not wait for acknowledgements'
            cand --no-compress 'Do not pack bodies of 4 KiB and more'
            cand --dry-run 'Show what would be sent'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;consume'= {
            cand -g 'Join this consumer group and move its offsets'
            cand --group 'Join this consumer group and move its offsets'
            cand --from 'Where to begin: earliest, latest, -100 (the last hundred), an offset, or a time (-10m, 2026-11-22T10:00)'
            cand --to 'End at this time, or at the end there was at the start'
            cand -n 'End after so many messages; exit 9 if there were fewer'
            cand --count 'End after so many messages; exit 9 if there were fewer'
            cand --idle 'End when nothing has come for so long'
            cand --timeout 'End after so long'
            cand --queue 'Only these queues, by number'
            cand --tag 'Only messages with one of these tags: ''a || b'''
            cand -k 'Only messages with this key'
            cand --key 'Only messages with this key'
            cand -f 'Print each message in this form instead, e.g. ''%p:%o %s\n'''
            cand --format 'Print each message in this form instead, e.g. ''%p:%o %s\n'''
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --follow 'Go on with what comes in'
            cand --dry-run 'With --group: show what the group would get, without joining it or moving its offsets'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;inspect'= {
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand info 'Show what there is in a store, and whether its log is whole'
            cand commitlog 'List the records of the commit log, with fillers, ends and damage between them'
            cand consumequeue 'List the entries of consume queues'
            cand index 'List the key index, or find the messages of a key'
            cand checkpoint 'Show the checkpoint: up to where the log, the queues and the index were on the disk'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'rmq;inspect;info'= {
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;inspect;commitlog'= {
            cand --from-offset 'Begin at this position of the log, or at the next record behind it'
            cand -n 'Stop after this many messages'
            cand --count 'Stop after this many messages'
            cand --topic 'Only messages of this topic'
            cand --queue 'Only messages of queues with this number'
            cand --key 'Only messages with this key, unique key or message id'
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --body 'Print bodies of any size, not only those up to 400 bytes'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;inspect;consumequeue'= {
            cand --topic 'Only queues of this topic'
            cand --queue 'Only queues with this number'
            cand --from 'Begin at this entry of each queue'
            cand -n 'Stop after this many entries'
            cand --count 'Stop after this many entries'
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --resolve 'Add the message that each entry leads to'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;inspect;index'= {
            cand --key 'Find the messages with this key or unique key; the log is read to tell equal hashes apart'
            cand --topic 'With --key: only in this topic [default: every topic of the store]'
            cand -n 'Stop after this many entries'
            cand --count 'Stop after this many entries'
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --resolve 'Add the message that each entry leads to (always done with --key)'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;inspect;checkpoint'= {
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;inspect;help'= {
            cand info 'Show what there is in a store, and whether its log is whole'
            cand commitlog 'List the records of the commit log, with fillers, ends and damage between them'
            cand consumequeue 'List the entries of consume queues'
            cand index 'List the key index, or find the messages of a key'
            cand checkpoint 'Show the checkpoint: up to where the log, the queues and the index were on the disk'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'rmq;inspect;help;info'= {
        }
        &'rmq;inspect;help;commitlog'= {
        }
        &'rmq;inspect;help;consumequeue'= {
        }
        &'rmq;inspect;help;index'= {
        }
        &'rmq;inspect;help;checkpoint'= {
        }
        &'rmq;inspect;help;help'= {
        }
        &'rmq;clock'= {
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand show 'Show what time it is for each broker'
            cand advance 'Move a virtual clock forward; what comes due is delivered at once'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'rmq;clock;show'= {
            cand --broker 'Only this broker, not all the name servers know'
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;clock;advance'= {
            cand --broker 'Only this broker, not all the name servers know'
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;clock;help'= {
            cand show 'Show what time it is for each broker'
            cand advance 'Move a virtual clock forward; what comes due is delivered at once'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'rmq;clock;help;show'= {
        }
        &'rmq;clock;help;advance'= {
        }
        &'rmq;clock;help;help'= {
        }
        &'rmq;completion'= {
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;man'= {
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;generate'= {
            cand -o 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --output 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]'
            cand --columns 'Only these columns, in this order (field names as in -o json)'
            cand --namesrv 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]'
            cand --color 'When to use colour'
            cand --no-progress 'No progress bars'
            cand --utc 'Print times in UTC instead of the local zone'
            cand -v 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand --verbose 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'rmq;help'= {
            cand serve 'Run the node: name server and broker'
            cand send 'Send messages to a topic'
            cand consume 'Look at the messages of a topic, or consume them as a group'
            cand inspect 'Look into a store directory, without a broker'
            cand clock 'Show the clock of the brokers, or move a virtual one'
            cand completion 'Print the completion script of a shell'
            cand man 'Print a manual page (read it with `rmq man | man -l -`)'
            cand generate 'Write the completion scripts and manual pages of this version'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'rmq;help;serve'= {
        }
        &'rmq;help;send'= {
        }
        &'rmq;help;consume'= {
        }
        &'rmq;help;inspect'= {
            cand info 'Show what there is in a store, and whether its log is whole'
            cand commitlog 'List the records of the commit log, with fillers, ends and damage between them'
            cand consumequeue 'List the entries of consume queues'
            cand index 'List the key index, or find the messages of a key'
            cand checkpoint 'Show the checkpoint: up to where the log, the queues and the index were on the disk'
        }
        &'rmq;help;inspect;info'= {
        }
        &'rmq;help;inspect;commitlog'= {
        }
        &'rmq;help;inspect;consumequeue'= {
        }
        &'rmq;help;inspect;index'= {
        }
        &'rmq;help;inspect;checkpoint'= {
        }
        &'rmq;help;clock'= {
            cand show 'Show what time it is for each broker'
            cand advance 'Move a virtual clock forward; what comes due is delivered at once'
        }
        &'rmq;help;clock;show'= {
        }
        &'rmq;help;clock;advance'= {
        }
        &'rmq;help;completion'= {
        }
        &'rmq;help;man'= {
        }
        &'rmq;help;generate'= {
        }
        &'rmq;help;help'= {
        }
    ]
    $completions[$command]
}
