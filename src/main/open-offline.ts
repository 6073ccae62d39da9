import type { Offline } from './offline.ts'

/** Loads the rooms and opens the data directory without a server. They are loaded here, not at the top: a command that talks to a
 *  running server, and the parent of all processes, stay small and start fast. */
export async function openOfflineWhenNeeded(environment: NodeJS.ProcessEnv): Promise<Offline> {
  const { openOffline } = await import('./offline.ts')
  return openOffline(environment)
}
