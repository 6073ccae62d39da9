/** What a kind of source allows, for the config file and the API alike: the same sentences from both. */
import { validateMapping } from '../language/index.ts'
import { unknownKey } from './config-file/check-shape.ts'
import { splitPlace, type Problem } from './config-file/problem.ts'
import { findSourceKind, isWebsiteType, sourceKinds, WEBHOOK_TYPE } from './source-types.ts'

/** What is wrong with the settings of a source of the type, whose shape is sound; paths begin with the setting. */
export function checkSourceSettings(type: string, settings: Record<string, unknown>): Problem[] {
  const known = (findSourceKind(type)?.options ?? []).map(({ name }) => name)
  const given = Object.entries(settings).filter(([, value]) => value !== undefined)
  const others = given.filter(([name]) => !known.includes(name))
  const reason =
    known.length === 0
      ? `Sources of type ${type} have no settings.`
      : `Sources of type ${type} have no such setting; they have ${known.join(', ')}.`
  const problems: Problem[] = others.map(([name]) => ({ path: [name], reason }))
  if (type !== WEBHOOK_TYPE) return problems
  const fields = Object.fromEntries(given.filter(([name]) => name !== 'webhookToken'))
  const wrong = validateMapping(fields).map(({ path, problem }) => ({ path: splitPlace(path), reason: problem }))
  return [...problems, ...wrong]
}

/** Why a type that is none is none. */
export function sourceTypeProblem(type: string): string {
  const slugs = sourceKinds.map(({ slug }) => slug)
  return unknownKey(type, slugs).replace('There is no such key', `There is no kind of source "${type}"`)
}

/** Undefined for a type that may ask for OAuth. */
export function oauthProblem(type: string): string | undefined {
  if (findSourceKind(type)?.mayUseOAuth) return undefined
  const able = sourceKinds.filter(({ mayUseOAuth }) => mayUseOAuth).map(({ slug }) => slug)
  return `Sources of type ${type} cannot use OAuth; ${able.join(', ')} can.`
}

/** Why blocked events of one source cannot go to another; undefined when they can. */
export function forwardProblem(source: string, target: { slug: string; type: string }): string | undefined {
  if (target.slug === source) return 'A source cannot forward to itself.'
  if (!findSourceKind(target.type)?.isClientSide) return undefined
  return `Blocked events go to a server-side source such as http-api; "${target.slug}" is ${target.type}.`
}

/** Why a destination of the source cannot run in its pages; undefined when it can. */
export function deviceModeProblem({ slug, type }: { slug: string; type: string }): string | undefined {
  return isWebsiteType(type) ? undefined : `Device mode needs a source of type javascript; "${slug}" is ${type}.`
}
