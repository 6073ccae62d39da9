import { shortened, type MessageHead, type NewMessage } from './kept-message.ts'

/** What to look for; each that is given must fit. */
export interface MessageFilter {
  /** Name of the event, the page or the screen, exactly. */
  name?: string
  /** User id or anonymous id. */
  userId?: string
  messageId?: string
  /** Text somewhere in the raw form, in any case of letters; in the processed form when there is no raw one. */
  text?: string
}

/** A test for kept messages. */
export function createMatcher(
  filter: MessageFilter,
): (message: MessageHead & Pick<NewMessage, 'raw' | 'processed'>) => boolean {
  const [name, userId, messageId] = [filter.name, filter.userId, filter.messageId].map((text) =>
    text === undefined ? undefined : shortened(text),
  )
  const text = filter.text?.toLowerCase()
  return (message) =>
    (name === undefined || message.name === name) &&
    (userId === undefined || message.userId === userId || message.anonymousId === userId) &&
    (messageId === undefined || message.messageId === messageId) &&
    (text === undefined || (message.raw ?? message.processed ?? '').toLowerCase().includes(text))
}
