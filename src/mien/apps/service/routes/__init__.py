"""The routes, a module a topic, each with an `APIRouter` named `router`."""
