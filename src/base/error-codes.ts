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
  bad_request: {
    status: 400,
    meaning: 'The body is not a JSON object in UTF-8, its batch is not an array, or it could not be decompressed.',
    whatToDo: 'Mend the client. The same request fails again.',
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
  connection_closed: {
    status: 503,
    meaning: 'A call between two processes of the installation broke off.',
    whatToDo: 'Repeat the command. If it comes again, look at the logs.',
  },
  journal_identity_damaged: {
    status: 500,
    meaning: 'Both copies of journal.json are damaged, so that no cursor could be trusted.',
    whatToDo: 'Restore journal.json from a backup of the data directory.',
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
  newer_format: {
    status: 500,
    meaning: 'A newer version of Tributary has written files of the data directory.',
    whatToDo: 'Start that version or a later one.',
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
  request_too_large: {
    status: 413,
    meaning: 'A call between two processes is larger than 16 MiB.',
    whatToDo: 'Make the config file smaller.',
  },
  too_many_requests: {
    status: 429,
    meaning: 'The limit of events per second of the workspace or the source is reached.',
    whatToDo: 'Come again after the seconds in Retry-After; SDKs do so by themselves.',
  },
  unavailable: {
    status: 503,
    meaning:
      'The request cannot be stored now: disk reserve reached, overload, a failed disk, or the server is stopping.',
    whatToDo: 'Come again after the seconds in Retry-After; SDKs do so by themselves. Look at free disk space.',
  },
  unknown_destination_type: {
    status: 400,
    meaning: 'The type of a destination is not a folder of connectors/destinations.',
    whatToDo: 'Use one of the types that the sentence lists.',
  },
  unknown_method: {
    status: 404,
    meaning: 'A process was asked something that it does not know.',
    whatToDo: 'Use the command line of the version that runs.',
  },
  unknown_source: {
    status: 401,
    meaning: 'The write key is missing or belongs to no source.',
    whatToDo: 'Use a write key of a source; `tributary export` prints them.',
  },
  unknown_warehouse_type: {
    status: 400,
    meaning: 'The type of a warehouse is not a folder of connectors/warehouses.',
    whatToDo: 'Use one of the types that the sentence lists.',
  },
} as const satisfies Record<string, ErrorCode>
