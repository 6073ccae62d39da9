/** The door of egress: the only way out of the product. */
export { isAddressRange } from './address-policy.ts'
export { createEgress } from './egress.ts'
export type { Egress, EgressOptions, EgressParts, EgressSettings } from './egress.ts'
export { EgressDenied, SendFailed } from './errors.ts'
