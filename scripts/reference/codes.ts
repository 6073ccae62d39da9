import { errorCodes } from '../../src/base/error-codes.ts'
import { discardedCodes, droppedCodes, rejectedCodes } from '../../src/protocol/reason-codes.ts'
import { code, page, table } from './markdown.ts'

export function reasonCodesPage(): string {
  return page(
    'Reason codes',
    'src/protocol/reason-codes.ts',
    'Why a message was rejected, dropped or discarded. The codes stand in `status`, in `trace` and in the metrics; each one belongs to one stage. What each stage means: [accounting](accounting.md).',
    '## Rejected: refused on ingest, behind a 200',
    meanings(rejectedCodes),
    '## Dropped: stopped by a rule',
    meanings(droppedCodes),
    '## Discarded: given up at a destination',
    `${meanings(discardedCodes)}\n\nAn HTTP failure is discarded under its status (\`400\`, \`404\`, \`302\`), a network failure under its socket code (\`ECONNREFUSED\`, \`ENOTFOUND\`), a time-out as \`ETIMEDOUT\`. Failures that may pass are retried first and end under the last code when the retry window is over.`,
  )
}

export function errorCodesPage(): string {
  const rows = Object.entries(errorCodes).map(([name, { status, meaning, whatToDo }]) => [
    code(name),
    String(status),
    meaning,
    whatToDo,
  ])
  return page(
    'Error codes',
    'src/base/error-codes.ts',
    'The `code` of an error answer over HTTP, and of an error on the command line. An error answer is a JSON object with `success: false`, `code`, `message`, `error` (the same text) and sometimes `hint`.',
    table(['Code', 'Status', 'Meaning', 'What to do'], rows),
  )
}

function meanings(codes: Record<string, string>): string {
  return table(
    ['Code', 'Meaning'],
    Object.entries(codes).map(([name, meaning]) => [code(name), meaning]),
  )
}
