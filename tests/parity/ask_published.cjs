// Answers cases with Segment's published packages, installed in the folder given as argument.
// One JSON case a line on stdin: {"subscriptions", "event"}, {"mapping", "event"} or {"trigger", "event"};
// one JSON answer a line on stdout. Nothing is sent anywhere: what the action would send is recorded.
'use strict'
const fs = require('fs')
const folder = process.argv[2]
const load = (name) => require(require.resolve(name, { paths: [folder] }))
const { Destination, transform } = load('@segment/actions-core')
const { parseFql, validate } = load('@segment/destination-subscriptions')
const published = load('@segment/action-destinations/dist/destinations/tiktok-conversions').default

const NEAR_MS = 10 * 60 * 1000
const sent = []

function record(_url, options) {
  const body = JSON.parse(JSON.stringify(options.json))
  for (const item of body.data) if (Math.abs(item.event_time * 1000 - Date.now()) < NEAR_MS) item.event_time = 'now'
  sent.push(body)
  return { status: 200, data: {} }
}

const action = published.actions.reportWebEvent
const recorded = { ...action, perform: (_request, data) => action.perform(record, data) }
const destination = new Destination({ ...published, actions: { ...published.actions, reportWebEvent: recorded } })

// Without stacks, which would name folders: an aggregate error is the list of its errors' messages.
const words = (error) => (error[Symbol.iterator] ? [...error].map(words).join('; ') : error.message)

async function answerEvent({ event, subscriptions }) {
  const answers = []
  for (const subscription of subscriptions) {
    sent.length = 0
    try {
      await destination.onEvent(structuredClone(event), { accessToken: 'TOKEN', pixelCode: 'PIXEL', subscription })
      answers.push(...sent.map((body) => ({ mapping: subscription.name, body })))
    } catch (error) {
      answers.push({ mapping: subscription.name, error: words(error) })
    }
  }
  return answers
}

function answerTrigger({ trigger, event }) {
  const condition = parseFql(trigger)
  return condition.error ? { error: condition.error.message } : { matches: validate(condition, event) }
}

const answerMapping = ({ mapping, event }) => ({ value: transform(mapping, event) })

async function answer(question) {
  const kind = question.trigger !== undefined ? answerTrigger : question.mapping ? answerMapping : answerEvent
  try {
    return await kind(question)
  } catch (error) {
    return { error: words(error) }
  }
}

async function main() {
  for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
    process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n')
  }
}
main()
