/** Where web pages and apps reach this installation. */
export interface PublicAddress {
  protocol: 'http' | 'https'
  /** Host, with the port when it is not the usual one, and the path a proxy adds, without a slash at the end. */
  host: string
}

export function urlOf({ protocol, host }: PublicAddress): string {
  return `${protocol}://${host}`
}
