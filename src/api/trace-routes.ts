import { AppError } from '../base/errors.ts'
import type { Store } from '../store/index.ts'
import type { Roles } from './roles.ts'
import { answerJson, ownPrefix, type Route } from './route.ts'
import { readTrace, type Trace } from './trace.ts'

export interface TraceParts {
  store: Store
  roles: Roles
}

export type TraceApi = (messageId: string) => Promise<Trace>

/** Throws `unknown_message`. */
export function createTraceApi({ store, roles }: TraceParts): TraceApi {
  return async (messageId) => {
    const trace = await readTrace(await store.snapshot(), roles, messageId)
    if (trace === undefined) {
      throw new AppError('unknown_message', 404, `No message with the id "${messageId}" is known.`, {
        hint: 'Ids are found for at least 7 days. A message that was answered with an error was never taken.',
      })
    }
    return trace
  }
}

/** What became of a message, over HTTP. */
export function createTraceRoutes(trace: TraceApi): Route[] {
  return [
    {
      method: 'GET',
      path: new RegExp(`^${ownPrefix}/messages/([^/]+)/trace$`),
      access: 'member',
      async run(_request, response, [, messageId = '']) {
        answerJson(response, 200, await trace(decode(messageId)))
      },
    },
  ]
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    // Then no message has this id either.
    return part
  }
}
