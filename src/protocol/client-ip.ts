/** What a source's privacy switch `ip` leaves of an address (contract: ingest.md §9). */

const DOTTED = /^(?:::ffff:)?(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$/i

/** IPv4 with its last octet 0, IPv6 with only its first 48 bits (the same share, a network rather than a household). Undefined
 *  for what is not an address: nobody can say what identifies a person in it. */
export function maskIp(address: unknown): string | undefined {
  if (typeof address !== 'string') return undefined
  const dotted = DOTTED.exec(address)
  if (dotted !== null) return `${dotted[1]}.0`
  return maskIpv6(address)
}

function maskIpv6(address: string): string | undefined {
  if (!/^[\da-f:.]{2,45}$/i.test(address) || !address.includes(':')) return undefined
  const [head = '', tail] = address.split('::', 2)
  const groups = head === '' ? [] : head.split(':')
  // A `::` stands for as many zero groups as are missing; those before it are all that can lie in the first 48 bits unless
  // the groups after it reach that far.
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':')
    while (groups.length + after.length < 8) groups.push('0')
    groups.push(...after)
  }
  const network = groups.slice(0, 3).map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''))
  return network.length === 3 && network.every((group) => /^[\da-f]{1,4}$/.test(group))
    ? `${network.join(':')}::`
    : undefined
}
