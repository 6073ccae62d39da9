/** Name resolution that hands out permitted addresses only. Node connects to exactly what its `lookup` gave, so an address is
 *  checked and used in one step: a name that answers differently the second time (DNS rebinding) gains nothing. */
import { lookup as systemLookup } from 'node:dns/promises'
import type { LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { AddressPolicy } from './address-policy.ts'
import { EgressDenied } from './errors.ts'

/** All addresses of a host name. Rejects with the resolver's error (`ENOTFOUND`, `EAI_AGAIN`). */
export type ResolveHost = (hostname: string) => Promise<LookupAddress[]>

/** The system's resolver, which also reads its hosts file. Lookups of one name at one time are one lookup, because they all
 *  wait for the few threads of libuv that the journal's reads need as well. */
export function createSystemResolver(): ResolveHost {
  const running = new Map<string, Promise<LookupAddress[]>>()
  return (hostname) => {
    const already = running.get(hostname)
    if (already) return already
    const started = systemLookup(hostname, { all: true }).finally(() => running.delete(hostname))
    running.set(hostname, started)
    return started
  }
}

/** A `lookup` for `net.connect` and `tls.connect`. Addresses that are refused are left out; a name with no other is denied. */
export function guardLookup(resolve: ResolveHost, policy: AddressPolicy): LookupFunction {
  return (hostname, options, callback) => {
    permittedAddresses(hostname, resolve, policy).then(
      (addresses) => {
        if (options.all) return callback(null, addresses)
        // `permittedAddresses` rejects rather than giving an empty list.
        const [first] = addresses as [LookupAddress]
        callback(null, first.address, first.family)
      },
      (error: Error) => callback(error, ''),
    )
  }
}

async function permittedAddresses(
  hostname: string,
  resolve: ResolveHost,
  policy: AddressPolicy,
): Promise<LookupAddress[]> {
  const addresses = isLocalName(hostname) ? loopback : await resolve(hostname)
  const permitted = addresses.filter(({ address }) => policy.refusal(address) === undefined)
  const [first] = addresses
  if (first === undefined) throw Object.assign(new Error(`No address for ${hostname}`), { code: 'ENOTFOUND' })
  if (permitted.length === 0) throw denied(hostname, first.address, policy.refusal(first.address))
  return permitted
}

/** Why an address may not be reached, for the person who wrote the URL. */
export function denied(hostname: string, address: string, reason: string | undefined): EgressDenied {
  const place = hostname === address ? address : `${hostname} is at ${address}, which`
  return new EgressDenied(
    `${place} is not reachable for destinations (${reason}). An operator can allow it in egress.allow.`,
  )
}

// RFC 6761: these names are the machine itself and no resolver is asked.
function isLocalName(hostname: string): boolean {
  return /(^|\.)localhost\.?$/i.test(hostname)
}

const loopback: LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]
