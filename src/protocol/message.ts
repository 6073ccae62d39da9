/** The message: one of the six calls with its common fields, as it stands in `events` after normalisation
 *  (`contract: spec.md` §2). Times are ISO 8601 in UTC with milliseconds. */

export const calls = ['identify', 'track', 'page', 'screen', 'group', 'alias'] as const
export type Call = (typeof calls)[number]

export type JsonObject = { [key: string]: unknown }

export interface Message extends JsonObject {
  type: Call
  messageId: string
  userId?: string | null
  anonymousId?: string | null
  timestamp: string
  originalTimestamp: string
  receivedAt: string
  sentAt?: string
  context: JsonObject
  integrations: JsonObject
  event?: string
  name?: string
  category?: string
  properties?: JsonObject
  traits?: JsonObject
  groupId?: string
  previousId?: string
  version: 2
}
