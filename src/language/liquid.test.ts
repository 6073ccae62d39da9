import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileLiquid } from './liquid.ts'

const message = {
  type: 'track',
  event: 'Item Viewed',
  properties: { price: 20, tags: ['a', 'b'], email: 'Jo@Example.org' },
}
const render = (template: string, about: unknown = message): string => compileLiquid(template)(about)

test('names are looked up in the message', () => {
  assert.equal(
    render('{{ properties.email | downcase }} {{ properties.tags | join: "+" }} {{ event }}'),
    'jo@example.org a+b Item Viewed',
  )
})

test('event followed by a path means the message, and alone the name of the event', () => {
  assert.equal(render("{{ event.properties.price }} {{ event['type'] }} {{ event | upcase }}"), '20 track ITEM VIEWED')
  assert.equal(render("{% if event == 'Item Viewed' %}{{ event.type }}{% endif %}"), 'track')
  assert.equal(render('{% if event %}yes{% else %}{{ event.type }}{% endif %}', { type: 'page' }), 'page')
})

test('a variable called event that the template sets is the variable', () => {
  assert.equal(render('{% assign event = properties %}{{ event.price }}'), '20')
})

test('the tags of the contract work', () => {
  assert.equal(render('{% case type %}{% when "page" %}p{% when "track" %}t{% endcase %}'), 't')
  assert.equal(render('{% unless properties.off %}on{% endunless %}{% increment n %}{% decrement n %}'), 'on00')
  assert.equal(
    render(
      '{% capture x %}{{ type }}!{% endcapture %}{% comment %}no{% endcomment %}{% raw %}{{ x }}{% endraw %}{{ x }}',
    ),
    '{{ x }}track!',
  )
  assert.equal(render('{% liquid assign y = 1 | plus: 2\n echo y %} {{- " z " -}} '), '3 z ')
})

test('loops, includes and filters that are not on the list are refused when the template is compiled', () => {
  const refused = [
    '{% for x in y %}{% endfor %}',
    '{% include "x" %}',
    '{% render "x" %}',
    '{% layout "x" %}',
    '{% tablerow x in y %}{% endtablerow %}',
    '{% cycle 1, 2 %}',
    '{{ x | map: "y" }}',
    '{{ x | base64_encode }}',
    '{{ x | sort }}',
    '{{ x',
    '{% if %}',
  ]
  for (const template of refused) assert.throws(() => compileLiquid(template), Error, template)
})

test('templates are bounded in length, and what they make in memory', () => {
  assert.throws(() => compileLiquid('x'.repeat(1001)), /longer than 1000/)
  const doubling = `{% assign x = text %}${'{% assign x = x | append: x %}'.repeat(30)}{{ x | size }}`
  assert.throws(() => render(doubling, { text: 'x'.repeat(30_000) }), /limit exceeded/)
})

test('prototypes are out of reach', () => {
  assert.equal(
    render(
      '[{{ constructor }}{{ properties.constructor.name }}{{ event.constructor }}{{ event.__proto__ }}{{ properties.email.constructor }}]',
    ),
    '[]',
  )
})
