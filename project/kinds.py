"""A kind of this site's own: a poll. Its page is `templates/realtime/kinds/poll.html`.

Commands are what people ask for, events are what happened, and the state is what folding the events gives.
"""

from typing import Annotated

from msgspec import Meta

from realtime.kinds import Actor, Command, Fact, Kind, Refusal, State, register


class Vote(Command):
    """The command `vote {"choice": 1}`: one vote a person, the last one counts."""

    choice: Annotated[int, Meta(ge=0)]


@register
class Poll(Kind):
    """A question that the site asks: `rooms.publish("lunch", "asked", {"question": ..., "choices": [...]})`."""

    name = "poll"
    title = "Poll"
    commands = (Vote,)
    initial = {"question": "", "choices": [], "votes": {}}

    def decide(self, state: State, command: Command, actor: Actor) -> Fact:
        assert isinstance(command, Vote)
        if command.choice >= len(state["choices"]):
            raise Refusal("no_such_choice", "That is not one of the answers.")
        return Fact("voted", {"by": actor.id, "choice": command.choice})

    def reduce(self, state: State, fact: Fact) -> State:
        if fact.name == "asked":
            return {**fact.data, "votes": {}}
        if fact.name == "voted":
            return {**state, "votes": {**state["votes"], fact.data["by"]: fact.data["choice"]}}
        return state
