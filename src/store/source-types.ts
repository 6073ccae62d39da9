/** Sources that make a track call of whatever is posted to them. */
export const WEBHOOK_TYPE = 'webhook'

/** Sources whose calls come from people's own devices: the door then knows the person's address and browser. */
const clientSideTypes: ReadonlySet<string> = new Set([
  'javascript',
  'website',
  'ios',
  'swift',
  'android',
  'kotlin',
  'kotlin-android',
  'react-native',
  'flutter',
  'xamarin',
  'unity',
  'roku',
  'amp',
  'pixel-tracking-api',
])

/** True for browsers and apps, false for servers and whatever we do not know. */
export function isClientSideType(type: string): boolean {
  return clientSideTypes.has(type)
}
