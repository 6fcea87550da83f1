"""Verbs, in the order a question flows:

    authenticate   credential → caller
    limit          who asks → how often lately → let in or 429
    admit          tenant → a place to be answered in, or 503
    spend          request → a part of the tenant's budget, set aside before the work and settled after it
    recollect      conversation → what an answer starts from: settings, what was said, the documents' revision
    reuse          question → the answer that was given before, where it still holds
    retrieve       question → passages of that tenant, in one short transaction
    rerank         passages → passages in a better order, where the flag is on; before the answer begins
    generate       passages → text: provider, next provider, or sentences of the passages
    call           messages → text of one model, behind its breaker; again only before the first token
    remember       question and answer → conversation, in another short transaction
    answer         the flow itself, from question to the parts that are streamed

and those beside the flow:

    sign_in        e-mail and password → tokens; what renews and ends them
    embed          publishable key and origin → a widget's session
    administer     members, API keys, widget keys: a tenant's own affairs, audited
    oversee        tenants: create, suspend, resume, quotas, audited
    hand_over      tenant → a ZIP of all its rows; tenant → nothing, with a receipt
    screen         request's head → let in, or refused before anything is done for it
    defend         attempt to sign in → let through, told to wait, or asked for a proof of work
    offend         failed attempt → a count, by address where that fails often
    switch         flag on or off, audited
    block          network blocked or unblocked, audited
    agree          orders (flags and blocks) → the same in memory, file, PostgreSQL and Redis
    upload         file or address → a queued revision
    ingest         a queued revision → passages that answer; `read` says what is in it
    sweep          rows that are due → jobs
    delete         document → nothing
    recall         conversations of a caller: shown and deleted
    together       many requests at once → one transaction
    trace          a part of an answer → a span
    tune           settings of answers, audited; and the copy of the global ones kept fresh
    operate        breakers, the cache, draining: by hand, audited
    check          component → health
    withhold       what belongs to another tenant → alarm instead of an answer
    tell           violation → the responder, until it has it
    probe          a planted secret, asked for as another tenant → held, or an alarm
    watch          queue and pool → gauges; canaries
"""
