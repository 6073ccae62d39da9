import type { JsonObject } from '../protocol/index.ts'
import type { MappingPlan } from './plan.ts'

/** A message that a connection has in hand, to be sent for one or more mappings. */
export interface Owed {
  partition: number
  offset: number
  receivedAtMs: number
  /** What goes out, as text. */
  json: string
  /** How many mappings it goes through in all. */
  legCount: number
  /** Hash of its user, on an ordered connection. */
  order: string | undefined
}

/** One message for one mapping: what an attempt sends, alone or in a batch. */
export interface PendingLeg {
  owed: Owed
  mapping: MappingPlan
  payload: JsonObject
  /** Attempts made so far; more than 0, or `isWaiting`, for one that comes out of the retry store. */
  attempt: number
  step: number
  /** 0 before the first. */
  firstAttemptAtMs: number
  isWaiting: boolean
}
