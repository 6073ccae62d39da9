/** What applying a config file would change, for people and scripts. Never holds a secret. */

export interface Plan {
  changes: PlanChange[]
  /** Nothing would be created, changed or deleted. */
  isEmpty: boolean
  /** For a terminal. */
  text: string
}

export interface PlanChange {
  action: 'create' | 'change' | 'delete' | 'unmanaged'
  kind: 'workspace' | 'token' | 'oauth app' | 'source' | 'destination' | 'warehouse' | 'settings'
  slug: string
  details: string[]
}

const marks: Record<PlanChange['action'], string> = { create: '+', change: '~', delete: '-', unmanaged: ' ' }

/** Makes the plan of its changes. */
export function createPlan(changes: PlanChange[]): Plan {
  const isEmpty = changes.every(({ action }) => action === 'unmanaged')
  const lines = changes.flatMap((change) => [headline(change), ...change.details.map((detail) => `    ${detail}`)])
  return { changes, isEmpty, text: [...(isEmpty ? ['Nothing to change.'] : []), ...lines].join('\n') }
}

function headline({ action, kind, slug }: PlanChange): string {
  return `${marks[action]} ${action === 'unmanaged' ? 'not in the file:' : action} ${kind} ${slug}`
}
