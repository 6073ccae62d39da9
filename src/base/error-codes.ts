/**
 * Every code that an `AppError` carries: what clients, scripts and people see in an answer or on the terminal. Makes the page
 * docs/reference/error-codes.md. A code is a promise: it keeps its meaning and its status. `test/docs.test.ts` finds the codes
 * in the sources that are missing here, those here that nobody uses any more, and a status that differs.
 */

export interface ErrorCode {
  /** HTTP status that goes with it. */
  status: number
  meaning: string
  whatToDo: string
}

export const errorCodes = {
  bad_option: {
    status: 400,
    meaning: 'An environment variable or an option of a command has a value that cannot be used.',
    whatToDo: 'Correct the value that the sentence names.',
  },
  bad_query: {
    status: 400,
    meaning: 'There is no SQL statement.',
    whatToDo: 'Give one, in quotes.',
  },
  bad_request: {
    status: 400,
    meaning: 'The body is not a JSON object in UTF-8, its batch is not an array, or it could not be decompressed.',
    whatToDo: 'Mend the client. The same request fails again.',
  },
  bad_schedule: {
    status: 400,
    meaning: 'The schedule of a warehouse is not one, or too often.',
    whatToDo: 'Use `every 10s`, `every 1m`, `every 1h`, a cron line, or `manual`.',
  },
  bad_warehouse_settings: {
    status: 400,
    meaning: 'A setting of a warehouse has a value that it cannot have.',
    whatToDo: 'Correct the value that the sentence names.',
  },
  body_too_large: {
    status: 400,
    meaning: 'The body, decompressed, is larger than limits.bodyBytesMax. Nothing of it was taken.',
    whatToDo: 'Send smaller batches.',
  },
  broken_connector: {
    status: 500,
    meaning: 'The folder of the connector holds no sound definition.',
    whatToDo: 'Mend the connector; the sentence says what is wrong with it.',
  },
  cannot_listen: {
    status: 409,
    meaning: 'The address or the port cannot be listened on.',
    whatToDo: 'Set TRIBUTARY_HOST or TRIBUTARY_PORT to another one, or stop the program that listens there.',
  },
  config_invalid: {
    status: 400,
    meaning: 'The config file cannot be read or is not valid. Nothing was changed.',
    whatToDo: 'Correct what the sentence names, with path and line.',
  },
  connection_closed: {
    status: 503,
    meaning: 'A call between two processes of the installation broke off.',
    whatToDo: 'Repeat the command. If it comes again, look at the logs.',
  },
  data_directory_in_use: {
    status: 409,
    meaning: 'Another process holds the lock of the data directory.',
    whatToDo: 'Stop it, or use another data directory. Exit code 3.',
  },
  demo_refused: {
    status: 400,
    meaning: 'The server refuses the messages of `demo`.',
    whatToDo: 'Look at the reason: another write key, or another address.',
  },
  destination_disabled: {
    status: 409,
    meaning: 'The destination is disabled, so nothing can be sent to it again.',
    whatToDo: 'Enable it first.',
  },
  event_not_blocked: {
    status: 409,
    meaning: 'Only an event that its source blocks can be archived.',
    whatToDo: 'Block it first, or leave it on the list.',
  },
  forbidden: {
    status: 403,
    meaning: 'The role of the token does not allow this.',
    whatToDo: 'Use a token with a role that does; the hint names them.',
  },
  internal: {
    status: 500,
    meaning: 'Something failed in a way that nobody foresaw.',
    whatToDo: 'Look at the log of the process.',
  },
  invalid_message: {
    status: 400,
    meaning: 'The source is strict, and the message of a single call would be rejected. Nothing was taken.',
    whatToDo: 'Mend the message; the reason code is in the sentence and in `results`.',
  },
  journal_identity_damaged: {
    status: 500,
    meaning: 'Both copies of journal.json are damaged, so that no cursor could be trusted.',
    whatToDo: 'Restore journal.json from a backup of the data directory.',
  },
  managed_by_file: {
    status: 409,
    meaning: 'The config file owns this record, so that it cannot be changed here.',
    whatToDo: 'Change the file and apply it.',
  },
  message_too_large: {
    status: 400,
    meaning: 'The message of a single call is larger than limits.messageBytesMax.',
    whatToDo: 'Send less in one message. In a batch, such a message is rejected alone.',
  },
  method_not_allowed: {
    status: 405,
    meaning: 'The path exists and takes another method.',
    whatToDo: 'Use POST.',
  },
  migration_failed: {
    status: 500,
    meaning: 'The control records could not be brought to this version.',
    whatToDo: 'Start the version that wrote them, and report the sentence.',
  },
  newer_format: {
    status: 500,
    meaning: 'A newer version of Tributary has written files of the data directory.',
    whatToDo: 'Start that version or a later one.',
  },
  no_data_directory: {
    status: 404,
    meaning: 'The command looks into a data directory on which Tributary was never started.',
    whatToDo: 'Start the server, or set TRIBUTARY_DATA to its data directory.',
  },
  no_source: {
    status: 404,
    meaning: '`demo` found no source to send to.',
    whatToDo: 'Name a source in tributary.yaml, or give --write-key.',
  },
  not_found: {
    status: 404,
    meaning: 'There is nothing at this path.',
    whatToDo: 'Look at the list of paths in the tracking API page.',
  },
  process_away: {
    status: 503,
    meaning: 'The process that has the answer does not run now. It is restarted by itself.',
    whatToDo: 'Repeat in a few seconds. If it stays away, look at the logs.',
  },
  redelivery_running: {
    status: 409,
    meaning: 'A redelivery of this destination is running; one runs at a time.',
    whatToDo: 'Wait until it has ended, or cancel it.',
  },
  request_too_large: {
    status: 413,
    meaning: 'A webhook brought more than limits.bodyBytesMax, or a call between two processes is larger than 16 MiB.',
    whatToDo: 'Let the other service send less, or make the config file smaller.',
  },
  secret_damaged: {
    status: 500,
    meaning: 'A stored secret cannot be opened although the key is the right one.',
    whatToDo: 'Apply the config file again, or restore control.db from a backup.',
  },
  secret_key_missing: {
    status: 500,
    meaning: 'There are stored secrets and no key.',
    whatToDo: 'Set TRIBUTARY_SECRET_KEY, or put secret.key back.',
  },
  secret_key_wrong: {
    status: 500,
    meaning: 'A stored secret was sealed with another key.',
    whatToDo: 'Set TRIBUTARY_SECRET_KEY to the key that it was sealed with.',
  },
  server_not_running: {
    status: 409,
    meaning: 'The command needs a running server, and none runs on this data directory.',
    whatToDo: 'Start the server, or set TRIBUTARY_DATA to its data directory.',
  },
  slug_taken: {
    status: 409,
    meaning: 'There is a record of this kind with this slug.',
    whatToDo: 'Choose another slug.',
  },
  source_in_use: {
    status: 409,
    meaning: 'A destination or a warehouse uses the source.',
    whatToDo: 'Delete or disconnect it first.',
  },
  source_not_found: {
    status: 404,
    meaning: 'There is no source with this slug.',
    whatToDo: 'The hint lists those there are.',
  },
  sync_failed: {
    status: 502,
    meaning: 'The warehouse could not be loaded. Nothing of the load was committed.',
    whatToDo: 'The sentence says why; the next sync tries again from the same place.',
  },
  too_many_live_views: {
    status: 503,
    meaning: 'As many live views of sources are open as the control process allows, which is 50.',
    whatToDo: 'Close one, or ask for the events that are stored.',
  },
  too_many_requests: {
    status: 429,
    meaning: 'The limit of events per second of the workspace or the source is reached.',
    whatToDo: 'Come again after the seconds in Retry-After; SDKs do so by themselves.',
  },
  too_many_revoked_tokens: {
    status: 409,
    meaning: 'An OAuth app has 10,000 revoked tokens that have not expired.',
    whatToDo: 'Wait until some have expired, or connect the sources to another app.',
  },
  too_many_sources: {
    status: 409,
    meaning: 'There are 10,000 sources, which is the most.',
    whatToDo: 'Delete some that are not used.',
  },
  unauthorized: {
    status: 401,
    meaning:
      'The page answers on the machine itself or with a token of the workspace, the webhook with the token of its source, a source with OAuth with an access token of its app.',
    whatToDo: 'Send `Authorization: Bearer TOKEN`.',
  },
  unavailable: {
    status: 503,
    meaning:
      'The request cannot be stored now: disk reserve reached, overload, a failed disk, or the server is stopping.',
    whatToDo: 'Come again after the seconds in Retry-After; SDKs do so by themselves. Look at free disk space.',
  },
  unknown_destination: {
    status: 404,
    meaning: 'There is no destination of this name.',
    whatToDo: 'The hint lists those there are.',
  },
  unknown_destination_type: {
    status: 400,
    meaning: 'The type of a destination is not a folder of connectors/destinations.',
    whatToDo: 'Use one of the types that the sentence lists.',
  },
  unknown_message: {
    status: 404,
    meaning: 'No message with this id is known.',
    whatToDo:
      'Check the id. Ids are found for at least 7 days; a message that was not answered with 200 was never taken.',
  },
  unknown_event: {
    status: 404,
    meaning: 'The schema of the source has no event of this name.',
    whatToDo: 'Look at the list of its events; names count with case and spaces.',
  },
  unknown_method: {
    status: 404,
    meaning: 'A process was asked something that it does not know.',
    whatToDo: 'Use the command line of the version that runs.',
  },
  unknown_oauth_app: {
    status: 404,
    meaning: 'There is no OAuth app of this name.',
    whatToDo: 'Look into the config file, at oauthApps.',
  },
  unknown_redelivery: {
    status: 404,
    meaning: 'No redelivery with this id is running.',
    whatToDo: 'List the redeliveries of the destination.',
  },
  unknown_source: {
    status: 401,
    meaning: 'The write key is missing or belongs to no source.',
    whatToDo: 'Use a write key of a source; `tributary export` prints them.',
  },
  unknown_type: {
    status: 400,
    meaning: 'There is no kind of source of this name.',
    whatToDo: 'Use one of those that the sentence lists, or that GET /tributary/v1/source-kinds gives.',
  },
  unknown_warehouse: {
    status: 404,
    meaning: 'There is no warehouse with this slug.',
    whatToDo: 'Use one of those that the sentence lists.',
  },
  unknown_warehouse_type: {
    status: 400,
    meaning: 'The type of a warehouse is not a folder of connectors/warehouses.',
    whatToDo: 'Use one of the types that the sentence lists.',
  },
  unknown_write_key: {
    status: 404,
    meaning:
      'The library, settings or demo page of a write key were asked for that belongs to no source, or a key was to be deleted that the source does not have.',
    whatToDo: 'Use a write key of a source; `tributary sources` prints them.',
  },
  usage: {
    status: 400,
    meaning: 'The command line was used wrongly.',
    whatToDo: 'See --help of the command. Exit code 2.',
  },
  warehouse_disabled: {
    status: 409,
    meaning: 'The warehouse is disabled.',
    whatToDo: 'Set `enabled: true` and apply.',
  },
  write_key_taken: {
    status: 409,
    meaning: 'Another source has this write key.',
    whatToDo: 'Choose another one, or delete it there first.',
  },
} as const satisfies Record<string, ErrorCode>
