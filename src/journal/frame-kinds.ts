/** What the frames of each topic hold. Numbers are on disk: never reuse or renumber one. */

/** Kinds in `received`: one frame is one request as it came. The body is `encodeReceived` of `received-frame.ts`. */
export const receivedKinds = { request: 1 } as const

/** Kinds in `events`: each message of `received` gives exactly one frame, a call (1–6, the body is the normalised message
 *  as compact JSON) or a decision (16–18, the body is the JSON of `Decision`). */
export const eventKinds = {
  identify: 1,
  track: 2,
  page: 3,
  screen: 4,
  group: 5,
  alias: 6,
  rejected: 16,
  duplicate: 17,
  dropped: 18,
} as const

/** Bits of a call frame in `events` that let delivery and loader skip a parse; a blocked event keeps those of its call. */
export const eventFlags = {
  /** `integrations` says something (it is neither absent nor `{}` nor only `{"All":true}`). */
  integrations: 1,
  /** `_metadata.bundled` or `bundledIds` is a non-empty list. */
  bundled: 2,
  /** `context.consent` is present. */
  consent: 4,
  /** Of a dropped message: it goes on to another source, `Decision.forwarding` says to which. */
  forwarding: 8,
} as const

export interface Decision {
  code: string
  messageId?: string
  type?: string
  /** Kept payload of a rejected message, so that it can be inspected and sent again. Of a blocked event the message, whole, as it
   *  would have been. */
  message?: unknown
  /** In the place of `message` when that is too large to be kept: the beginning of its JSON. */
  excerpt?: string
  /** Of a blocked event that becomes a message of another source. */
  forwarding?: Forwarding
}

export interface Forwarding {
  /** Number of the source that gets it. */
  source: number
  /** Number of the workspace of both. */
  workspace: number
  /** Id of the source that has blocked it. */
  from: string
}

/** Kinds in `outcomes` (`delivery/outcome-frame.ts`). */
export const outcomeKinds = { outcomes: 1, connection: 2 } as const

export function isCall(kind: number): boolean {
  return kind >= eventKinds.identify && kind <= eventKinds.alias
}
