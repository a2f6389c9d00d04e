
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'rmq' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'rmq'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'rmq' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Run the node: name server and broker')
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send messages to a topic')
            [CompletionResult]::new('consume', 'consume', [CompletionResultType]::ParameterValue, 'Look at the messages of a topic, or consume them as a group')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Look into a store directory, without a broker')
            [CompletionResult]::new('clock', 'clock', [CompletionResultType]::ParameterValue, 'Show the clock of the brokers, or move a virtual one')
            [CompletionResult]::new('completion', 'completion', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a manual page (read it with `rmq man | man -l -`)')
            [CompletionResult]::new('generate', 'generate', [CompletionResultType]::ParameterValue, 'Write the completion scripts and manual pages of this version')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'rmq;serve' {
            [CompletionResult]::new('--role', '--role', [CompletionResultType]::ParameterName, 'What this process is')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Configuration file: Apache''s broker.conf, or the same keys in YAML')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file: Apache''s broker.conf, or the same keys in YAML')
            [CompletionResult]::new('--data-dir', '--data-dir', [CompletionResultType]::ParameterName, 'Where the data is kept [default: the platform''s data directory]')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Address to listen on; ADDR:0 takes free ports [default: 127.0.0.1; all addresses if another one is advertised]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Port of the name server, 0 for any free one [default: 9876]')
            [CompletionResult]::new('--broker-port', '--broker-port', [CompletionResultType]::ParameterName, 'Port of the broker, 0 for any free one; the port two below is taken as well [default: 10911]')
            [CompletionResult]::new('--advertise', '--advertise', [CompletionResultType]::ParameterName, 'Host that clients are told to connect to')
            [CompletionResult]::new('--fsync', '--fsync', [CompletionResultType]::ParameterName, 'When an acknowledged message is on the disk: `interval` soon after, `always` before')
            [CompletionResult]::new('--topic', '--topic', [CompletionResultType]::ParameterName, 'Create these topics before the node is ready')
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Any setting of Apache''s broker, as in broker.conf')
            [CompletionResult]::new('--ready-file', '--ready-file', [CompletionResultType]::ParameterName, 'Write addresses and ports to this file once messages are accepted (JSON; removed at the end)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--ephemeral', '--ephemeral', [CompletionResultType]::ParameterName, 'Keep the data in a temporary directory that disappears at the end')
            [CompletionResult]::new('--virtual-clock', '--virtual-clock', [CompletionResultType]::ParameterName, 'Time stands still until `rmq clock advance` moves it: delays, retries and retention in the hands of a test')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;send' {
            [CompletionResult]::new('--input', '--input', [CompletionResultType]::ParameterName, 'Form of stdin: jsonl takes what ''consume -o jsonl'' printed')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Tag that consumers filter by')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Key to find the message by; may be repeated')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Key to find the message by; may be repeated')
            [CompletionResult]::new('-H', '-H ', [CompletionResultType]::ParameterName, 'Property of the message; may be repeated')
            [CompletionResult]::new('--property', '--property', [CompletionResultType]::ParameterName, 'Property of the message; may be repeated')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Send each message so many times')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Send to this queue only; with several brokers name one with --broker')
            [CompletionResult]::new('--broker', '--broker', [CompletionResultType]::ParameterName, 'The broker of --queue')
            [CompletionResult]::new('--delay-level', '--delay-level', [CompletionResultType]::ParameterName, 'Deliver later: level 1 (1 s) to 18 (2 h)')
            [CompletionResult]::new('--delay', '--delay', [CompletionResultType]::ParameterName, 'Deliver after so long')
            [CompletionResult]::new('--at', '--at', [CompletionResultType]::ParameterName, 'Deliver at this time')
            [CompletionResult]::new('--batch', '--batch', [CompletionResultType]::ParameterName, 'Send up to N messages in one request')
            [CompletionResult]::new('--window', '--window', [CompletionResultType]::ParameterName, 'Requests under way at a time')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Longest time for one message, all tries together')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'Tries on another broker after a failure')
            [CompletionResult]::new('--producer-group', '--producer-group', [CompletionResultType]::ParameterName, 'Producer group')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--lines', '--lines', [CompletionResultType]::ParameterName, 'Every line of stdin is a message')
            [CompletionResult]::new('-0', '-0', [CompletionResultType]::ParameterName, 'Messages on stdin end with a zero byte instead of a line end')
            [CompletionResult]::new('--null', '--null', [CompletionResultType]::ParameterName, 'Messages on stdin end with a zero byte instead of a line end')
            [CompletionResult]::new('--oneway', '--oneway', [CompletionResultType]::ParameterName, 'Do not wait for acknowledgements')
            [CompletionResult]::new('--no-compress', '--no-compress', [CompletionResultType]::ParameterName, 'Do not pack bodies of 4 KiB and more')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be sent')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;consume' {
            [CompletionResult]::new('-g', '-g', [CompletionResultType]::ParameterName, 'Join this consumer group and move its offsets')
            [CompletionResult]::new('--group', '--group', [CompletionResultType]::ParameterName, 'Join this consumer group and move its offsets')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Where to begin: earliest, latest, -100 (the last hundred), an offset, or a time (-10m, 2026-11-22T10:00)')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'End at this time, or at the end there was at the start')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'End after so many messages; exit 9 if there were fewer')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'End after so many messages; exit 9 if there were fewer')
            [CompletionResult]::new('--idle', '--idle', [CompletionResultType]::ParameterName, 'End when nothing has come for so long')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'End after so long')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Only these queues, by number')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Only messages with one of these tags: ''a || b''')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Only messages with this key')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Only messages with this key')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Print each message in this form instead, e.g. ''%p:%o %s\n''')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Print each message in this form instead, e.g. ''%p:%o %s\n''')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Go on with what comes in')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'With --group: show what the group would get, without joining it or moving its offsets')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;inspect' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('info', 'info', [CompletionResultType]::ParameterValue, 'Show what there is in a store, and whether its log is whole')
            [CompletionResult]::new('commitlog', 'commitlog', [CompletionResultType]::ParameterValue, 'List the records of the commit log, with fillers, ends and damage between them')
            [CompletionResult]::new('consumequeue', 'consumequeue', [CompletionResultType]::ParameterValue, 'List the entries of consume queues')
            [CompletionResult]::new('index', 'index', [CompletionResultType]::ParameterValue, 'List the key index, or find the messages of a key')
            [CompletionResult]::new('checkpoint', 'checkpoint', [CompletionResultType]::ParameterValue, 'Show the checkpoint: up to where the log, the queues and the index were on the disk')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'rmq;inspect;info' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;inspect;commitlog' {
            [CompletionResult]::new('--from-offset', '--from-offset', [CompletionResultType]::ParameterName, 'Begin at this position of the log, or at the next record behind it')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Stop after this many messages')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Stop after this many messages')
            [CompletionResult]::new('--topic', '--topic', [CompletionResultType]::ParameterName, 'Only messages of this topic')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Only messages of queues with this number')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Only messages with this key, unique key or message id')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--body', '--body', [CompletionResultType]::ParameterName, 'Print bodies of any size, not only those up to 400 bytes')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;inspect;consumequeue' {
            [CompletionResult]::new('--topic', '--topic', [CompletionResultType]::ParameterName, 'Only queues of this topic')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Only queues with this number')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Begin at this entry of each queue')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Stop after this many entries')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Stop after this many entries')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--resolve', '--resolve', [CompletionResultType]::ParameterName, 'Add the message that each entry leads to')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;inspect;index' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Find the messages with this key or unique key; the log is read to tell equal hashes apart')
            [CompletionResult]::new('--topic', '--topic', [CompletionResultType]::ParameterName, 'With --key: only in this topic [default: every topic of the store]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Stop after this many entries')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Stop after this many entries')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--resolve', '--resolve', [CompletionResultType]::ParameterName, 'Add the message that each entry leads to (always done with --key)')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;inspect;checkpoint' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;inspect;help' {
            [CompletionResult]::new('info', 'info', [CompletionResultType]::ParameterValue, 'Show what there is in a store, and whether its log is whole')
            [CompletionResult]::new('commitlog', 'commitlog', [CompletionResultType]::ParameterValue, 'List the records of the commit log, with fillers, ends and damage between them')
            [CompletionResult]::new('consumequeue', 'consumequeue', [CompletionResultType]::ParameterValue, 'List the entries of consume queues')
            [CompletionResult]::new('index', 'index', [CompletionResultType]::ParameterValue, 'List the key index, or find the messages of a key')
            [CompletionResult]::new('checkpoint', 'checkpoint', [CompletionResultType]::ParameterValue, 'Show the checkpoint: up to where the log, the queues and the index were on the disk')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'rmq;inspect;help;info' {
            break
        }
        'rmq;inspect;help;commitlog' {
            break
        }
        'rmq;inspect;help;consumequeue' {
            break
        }
        'rmq;inspect;help;index' {
            break
        }
        'rmq;inspect;help;checkpoint' {
            break
        }
        'rmq;inspect;help;help' {
            break
        }
        'rmq;clock' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show what time it is for each broker')
            [CompletionResult]::new('advance', 'advance', [CompletionResultType]::ParameterValue, 'Move a virtual clock forward; what comes due is delivered at once')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'rmq;clock;show' {
            [CompletionResult]::new('--broker', '--broker', [CompletionResultType]::ParameterName, 'Only this broker, not all the name servers know')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;clock;advance' {
            [CompletionResult]::new('--broker', '--broker', [CompletionResultType]::ParameterName, 'Only this broker, not all the name servers know')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;clock;help' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show what time it is for each broker')
            [CompletionResult]::new('advance', 'advance', [CompletionResultType]::ParameterValue, 'Move a virtual clock forward; what comes due is delivered at once')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'rmq;clock;help;show' {
            break
        }
        'rmq;clock;help;advance' {
            break
        }
        'rmq;clock;help;help' {
            break
        }
        'rmq;completion' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;man' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;generate' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How results are printed [default: table on a terminal; tsv in a pipe, jsonl for streams]')
            [CompletionResult]::new('--columns', '--columns', [CompletionResultType]::ParameterName, 'Only these columns, in this order (field names as in -o json)')
            [CompletionResult]::new('--namesrv', '--namesrv', [CompletionResultType]::ParameterName, 'Name servers, `host:port` separated by `;` [env: RMQ_NAMESRV_ADDR, NAMESRV_ADDR] [default: 127.0.0.1:9876]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress bars')
            [CompletionResult]::new('--utc', '--utc', [CompletionResultType]::ParameterName, 'Print times in UTC instead of the local zone')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr (-v info, -vv debug, -vvv trace); RUST_LOG says it in detail')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'rmq;help' {
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Run the node: name server and broker')
            [CompletionResult]::new('send', 'send', [CompletionResultType]::ParameterValue, 'Send messages to a topic')
            [CompletionResult]::new('consume', 'consume', [CompletionResultType]::ParameterValue, 'Look at the messages of a topic, or consume them as a group')
            [CompletionResult]::new('inspect', 'inspect', [CompletionResultType]::ParameterValue, 'Look into a store directory, without a broker')
            [CompletionResult]::new('clock', 'clock', [CompletionResultType]::ParameterValue, 'Show the clock of the brokers, or move a virtual one')
            [CompletionResult]::new('completion', 'completion', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a manual page (read it with `rmq man | man -l -`)')
            [CompletionResult]::new('generate', 'generate', [CompletionResultType]::ParameterValue, 'Write the completion scripts and manual pages of this version')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'rmq;help;serve' {
            break
        }
        'rmq;help;send' {
            break
        }
        'rmq;help;consume' {
            break
        }
        'rmq;help;inspect' {
            [CompletionResult]::new('info', 'info', [CompletionResultType]::ParameterValue, 'Show what there is in a store, and whether its log is whole')
            [CompletionResult]::new('commitlog', 'commitlog', [CompletionResultType]::ParameterValue, 'List the records of the commit log, with fillers, ends and damage between them')
            [CompletionResult]::new('consumequeue', 'consumequeue', [CompletionResultType]::ParameterValue, 'List the entries of consume queues')
            [CompletionResult]::new('index', 'index', [CompletionResultType]::ParameterValue, 'List the key index, or find the messages of a key')
            [CompletionResult]::new('checkpoint', 'checkpoint', [CompletionResultType]::ParameterValue, 'Show the checkpoint: up to where the log, the queues and the index were on the disk')
            break
        }
        'rmq;help;inspect;info' {
            break
        }
        'rmq;help;inspect;commitlog' {
            break
        }
        'rmq;help;inspect;consumequeue' {
            break
        }
        'rmq;help;inspect;index' {
            break
        }
        'rmq;help;inspect;checkpoint' {
            break
        }
        'rmq;help;clock' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show what time it is for each broker')
            [CompletionResult]::new('advance', 'advance', [CompletionResultType]::ParameterValue, 'Move a virtual clock forward; what comes due is delivered at once')
            break
        }
        'rmq;help;clock;show' {
            break
        }
        'rmq;help;clock;advance' {
            break
        }
        'rmq;help;completion' {
            break
        }
        'rmq;help;man' {
            break
        }
        'rmq;help;generate' {
            break
        }
        'rmq;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
