/** Keeps the order of each user's messages on an ordered connection: one message of a user is under way, the next waits until it has
 *  ended. A message that waits behind one in the retry store goes to the retry store too (`parked`), so that one user's bad
 *  message does not fill the queue of everybody. */
import type { PendingLeg } from './owed.ts'

export interface Ticket {
  partition: number
  offset: number
  /** What to send when its turn comes; undefined for one that is parked in the retry store. */
  legs: PendingLeg[] | undefined
}

interface Line {
  active: Ticket
  /** The active message is in the retry store, or was parked there. */
  isSlow: boolean
  held: Ticket[]
}

export class OrderGate {
  readonly #lines = new Map<string, Line>()

  /** True when the message may go now; else it stands in line. */
  enter(order: string, ticket: Ticket): boolean {
    const line = this.#lines.get(order)
    if (line === undefined) {
      this.#lines.set(order, { active: ticket, isSlow: ticket.legs === undefined, held: [] })
      return true
    }
    // After a restart the rest of a message that stands here already comes again.
    if (isSame(line.active, ticket)) return true
    line.held.push(ticket)
    return false
  }

  isSlow(order: string): boolean {
    return this.#lines.get(order)?.isSlow ?? false
  }

  /** Whether it is this message's turn. */
  isActive(order: string, partition: number, offset: number): boolean {
    const line = this.#lines.get(order)
    return line !== undefined && isSame(line.active, { partition, offset })
  }

  /** The active message went to the retry store. Returns those in line that are still in memory, to be parked. */
  slowDown(order: string): Ticket[] {
    const line = this.#lines.get(order)
    if (line === undefined) return []
    line.isSlow = true
    return line.held.filter(({ legs }) => legs !== undefined)
  }

  /** The message ended: returns the one whose turn it is now. One that ended while it stood in line just leaves it. */
  leave(order: string, partition: number, offset: number): Ticket | undefined {
    const line = this.#lines.get(order)
    if (line === undefined) return undefined
    if (!isSame(line.active, { partition, offset })) {
      line.held = line.held.filter((ticket) => !isSame(ticket, { partition, offset }))
      return undefined
    }
    const next = line.held.shift()
    if (next === undefined) {
      this.#lines.delete(order)
      return undefined
    }
    line.active = next
    line.isSlow = next.legs === undefined
    return next
  }

  /** Everybody out: all that stand in line, in the order they came. */
  dissolve(): Ticket[] {
    const held = [...this.#lines.values()].flatMap((line) => line.held)
    this.#lines.clear()
    return held
  }
}

function isSame(a: { partition: number; offset: number }, b: { partition: number; offset: number }): boolean {
  return a.offset === b.offset && a.partition === b.partition
}
