/** The door of delivery: from `events` to destinations, with what became of it in `outcomes`. */
export { createDelivery } from './delivery.ts'
export type { Delivery, DeliveryOptions, KeptDeadLetter } from './delivery.ts'
export { openOutcomeStore } from './outcome-store.ts'
export type { DeadLetter, OutcomeStore } from './outcome-store.ts'
export type { Redelivery } from './ledger.ts'
export type { DeadLetterFilter } from './outcome-frame.ts'
export type { ConnectionStatus } from './status.ts'
export type { DeliveryAttempt, DeliveryTrace } from './trace.ts'
