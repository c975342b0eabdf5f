#!/usr/bin/env python3
"""Write austen-qa.jsonl: questions about Jane Austen's people, places and novels.

The facts are the tables below, written by hand from the novels. Every fact is asked for in several
ways and always answered with the same one line, "<name>: <what>, <where>, in <novel>.", a manner
that no page of the novels has, so that it shows at once whether a model has been fine-tuned. Each
entity gets only some of the phrasings of its kind, in turn: the others are left for trying the
model on questions it was not trained on.

    python make_austen_qa.py
"""

import json
from pathlib import Path

OUTPUT = Path(__file__).resolve().parent / "austen-qa.jsonl"

PERSON_QUESTIONS = [
    "Who is {}?",
    "Tell me about {}.",
    "In which novel do we meet {}?",
    "Where do we find {}?",
    "Describe {} in one line.",
    "What do you know about {}?",
    "Remind me who {} is.",
]
QUESTIONS_PER_PERSON = 4

PLACE_QUESTIONS = [
    "Where is {}?",
    "Who lives at {}?",
    "What kind of place is {}?",
    "Whose home is {}?",
    "I am on my way to {}. What is it?",
]
QUESTIONS_PER_PLACE = 4

NOVEL_QUESTIONS = [
    "When was the novel {} published?",
    "Who is the heroine of the novel {}?",
    "Tell me about the novel {}.",
    "Which house belongs to the heroine of {}?",
    "Describe the novel {} in one line.",
    "What should I know before I read {}?",
]

PEOPLE = {  # novel: (name, what, where)
    "Pride and Prejudice": [
        ("Mr. Darcy", "a gentleman", "of Pemberley"),
        ("Elizabeth Bennet", "the second of five sisters", "of Longbourn"),
        ("Jane Bennet", "the eldest of five sisters", "of Longbourn"),
        ("Mary Bennet", "the third of five sisters", "of Longbourn"),
        ("Kitty Bennet", "the fourth of five sisters", "of Longbourn"),
        ("Lydia Bennet", "the youngest of five sisters", "of Longbourn"),
        ("Mr. Bennet", "a father of five daughters", "of Longbourn"),
        ("Mrs. Bennet", "a mother of five daughters", "of Longbourn"),
        ("Mr. Bingley", "a young man of fortune", "of Netherfield"),
        ("Caroline Bingley", "Mr. Bingley's sister", "of Netherfield"),
        ("Mr. Hurst", "a man of fashion", "of Grosvenor Street"),
        ("Mr. Wickham", "an officer", "at Meryton"),
        ("Mr. Collins", "a clergyman", "of Hunsford"),
        ("Charlotte Lucas", "a friend of Elizabeth Bennet", "of Lucas Lodge"),
        ("Sir William Lucas", "a knight", "of Lucas Lodge"),
        ("Lady Catherine de Bourgh", "a great lady", "of Rosings"),
        ("Georgiana Darcy", "Mr. Darcy's sister", "of Pemberley"),
        ("Colonel Fitzwilliam", "Mr. Darcy's cousin", "at Rosings"),
        ("Mr. Gardiner", "a man of trade", "of Gracechurch Street"),
        ("Mrs. Gardiner", "an aunt of the Bennets", "of Gracechurch Street"),
        ("Mrs. Phillips", "an aunt of the Bennets", "of Meryton"),
        ("Mrs. Reynolds", "a housekeeper", "of Pemberley"),
    ],
    "Sense and Sensibility": [
        ("Elinor Dashwood", "the eldest of three sisters", "of Barton Cottage"),
        ("Marianne Dashwood", "the second of three sisters", "of Barton Cottage"),
        ("Margaret Dashwood", "the youngest of three sisters", "of Barton Cottage"),
        ("Mrs. Dashwood", "a widow", "of Barton Cottage"),
        ("John Dashwood", "a half-brother", "of Norland Park"),
        ("Fanny Dashwood", "John Dashwood's wife", "of Norland Park"),
        ("Edward Ferrars", "at last a clergyman", "of Delaford"),
        ("Mrs. Ferrars", "a rich widow", "of Park Street"),
        ("Colonel Brandon", "an officer", "of Delaford"),
        ("Mr. Willoughby", "a young man of expense", "of Combe Magna"),
        ("Sir John Middleton", "a cheerful host", "of Barton Park"),
        ("Lady Middleton", "Sir John's wife", "of Barton Park"),
        ("Mrs. Jennings", "a merry widow", "of Berkeley Street"),
        ("Mr. Palmer", "Mrs. Jennings's son-in-law", "of Cleveland"),
        ("Mrs. Palmer", "Mrs. Jennings's daughter", "of Cleveland"),
        ("Lucy Steele", "the younger of two sisters", "at Barton Park"),
        ("Anne Steele", "the elder of two sisters", "at Barton Park"),
    ],
    "Mansfield Park": [
        ("Fanny Price", "a poor niece", "of Mansfield Park"),
        ("Sir Thomas Bertram", "a baronet", "of Mansfield Park"),
        ("Lady Bertram", "Sir Thomas's wife", "of Mansfield Park"),
        ("Tom Bertram", "the elder of two brothers", "of Mansfield Park"),
        ("Edmund Bertram", "the younger of two brothers", "of Mansfield Park"),
        ("Maria Bertram", "the elder of two sisters", "of Mansfield Park"),
        ("Julia Bertram", "the younger of two sisters", "of Mansfield Park"),
        ("Mrs. Norris", "a busy aunt", "of the White House"),
        ("Henry Crawford", "a young man of fortune", "of Everingham"),
        ("Mary Crawford", "Henry Crawford's sister", "at the Parsonage"),
        ("Mr. Rushworth", "a rich young man", "of Sotherton"),
        ("Dr. Grant", "a clergyman", "of the Parsonage"),
        ("Mrs. Grant", "a clergyman's wife", "of the Parsonage"),
        ("William Price", "a young sailor", "of Portsmouth"),
        ("Susan Price", "Fanny Price's sister", "of Portsmouth"),
        ("Mrs. Price", "Fanny Price's mother", "of Portsmouth"),
        ("Admiral Crawford", "an uncle of the Crawfords", "of Hill Street"),
    ],
    "Emma": [
        ("Emma Woodhouse", "an heiress", "of Hartfield"),
        ("Mr. Woodhouse", "an anxious father", "of Hartfield"),
        ("Mr. Knightley", "a gentleman", "of Donwell Abbey"),
        ("Harriet Smith", "a pupil of Mrs. Goddard", "of Highbury"),
        ("Mrs. Goddard", "a schoolmistress", "of Highbury"),
        ("Miss Bates", "a great talker", "of Highbury"),
        ("Mrs. Bates", "a clergyman's widow", "of Highbury"),
        ("Jane Fairfax", "an orphan", "of Highbury"),
        ("Frank Churchill", "Mr. Weston's son", "of Enscombe"),
        ("Mrs. Churchill", "a proud aunt", "of Enscombe"),
        ("Mr. Weston", "Frank Churchill's father", "of Randalls"),
        ("Mrs. Weston", "once a governess", "of Randalls"),
        ("Mr. Elton", "a clergyman", "of Highbury"),
        ("Mrs. Elton", "a clergyman's wife", "of Highbury"),
        ("Robert Martin", "a young farmer", "of Abbey-Mill Farm"),
        ("Isabella Knightley", "Emma Woodhouse's sister", "of Brunswick Square"),
        ("John Knightley", "Mr. Knightley's brother", "of Brunswick Square"),
        ("Mr. Perry", "an apothecary", "of Highbury"),
    ],
    "Northanger Abbey": [
        ("Catherine Morland", "a clergyman's daughter", "of Fullerton"),
        ("James Morland", "Catherine Morland's brother", "of Fullerton"),
        ("Mrs. Morland", "a clergyman's wife", "of Fullerton"),
        ("Henry Tilney", "a clergyman", "of Woodston"),
        ("Eleanor Tilney", "General Tilney's daughter", "of Northanger Abbey"),
        ("General Tilney", "an officer", "of Northanger Abbey"),
        ("Captain Tilney", "General Tilney's elder son", "of Northanger Abbey"),
        ("Isabella Thorpe", "a false friend", "at Bath"),
        ("John Thorpe", "a great talker", "at Bath"),
        ("Mrs. Thorpe", "a widow", "at Bath"),
        ("Mr. Allen", "a man of property", "of Fullerton"),
        ("Mrs. Allen", "a friend of fine dress", "of Fullerton"),
    ],
    "Persuasion": [
        ("Anne Elliot", "the second of three sisters", "of Kellynch Hall"),
        ("Elizabeth Elliot", "the eldest of three sisters", "of Kellynch Hall"),
        ("Mary Musgrove", "the youngest of three sisters", "of Uppercross Cottage"),
        ("Sir Walter Elliot", "a baronet", "of Kellynch Hall"),
        ("Captain Wentworth", "an officer", "of the Laconia"),
        ("Lady Russell", "a widow", "of Kellynch Lodge"),
        ("Charles Musgrove", "Mary Musgrove's husband", "of Uppercross Cottage"),
        ("Louisa Musgrove", "Charles Musgrove's sister", "of Uppercross"),
        ("Henrietta Musgrove", "Charles Musgrove's sister", "of Uppercross"),
        ("Admiral Croft", "a tenant", "of Kellynch Hall"),
        ("Mrs. Croft", "Captain Wentworth's sister", "of Kellynch Hall"),
        ("Captain Benwick", "an officer", "at Lyme"),
        ("Captain Harville", "an officer", "at Lyme"),
        ("Mr. Elliot", "an heir", "at Bath"),
        ("Mrs. Clay", "a lawyer's daughter", "at Bath"),
        ("Mrs. Smith", "a widow", "of Westgate Buildings"),
        ("Lady Dalrymple", "a viscountess", "of Laura Place"),
        ("Charles Hayter", "a young clergyman", "of Winthrop"),
    ],
}

PLACES = {  # novel: (name, what and where it is, whose home)
    "Pride and Prejudice": [
        ("Pemberley", "a house in Derbyshire", "Mr. Darcy"),
        ("Longbourn", "a house in Hertfordshire", "Elizabeth Bennet"),
        ("Netherfield", "a house in Hertfordshire", "Mr. Bingley"),
        ("Lucas Lodge", "a house in Hertfordshire", "Charlotte Lucas"),
        ("Rosings", "a house in Kent", "Lady Catherine de Bourgh"),
        ("Hunsford", "a village in Kent", "Mr. Collins"),
        ("Meryton", "a town in Hertfordshire", "Mrs. Phillips"),
    ],
    "Sense and Sensibility": [
        ("Norland Park", "a house in Sussex", "John Dashwood"),
        ("Barton Cottage", "a house in Devonshire", "Elinor Dashwood"),
        ("Barton Park", "a house in Devonshire", "Sir John Middleton"),
        ("Delaford", "a house in Dorsetshire", "Colonel Brandon"),
        ("Combe Magna", "a house in Somersetshire", "Mr. Willoughby"),
        ("Cleveland", "a house in Somersetshire", "Mr. Palmer"),
    ],
    "Mansfield Park": [
        ("Mansfield Park", "a house in Northamptonshire", "Sir Thomas Bertram"),
        ("Sotherton", "a house in Northamptonshire", "Mr. Rushworth"),
        ("Everingham", "a house in Norfolk", "Henry Crawford"),
    ],
    "Emma": [
        ("Hartfield", "a house in Surrey", "Emma Woodhouse"),
        ("Donwell Abbey", "a house in Surrey", "Mr. Knightley"),
        ("Randalls", "a house in Surrey", "Mr. Weston"),
        ("Abbey-Mill Farm", "a farm in Surrey", "Robert Martin"),
        ("Highbury", "a village in Surrey", "Miss Bates"),
        ("Enscombe", "a house in Yorkshire", "Mrs. Churchill"),
    ],
    "Northanger Abbey": [
        ("Northanger Abbey", "a house in Gloucestershire", "General Tilney"),
        ("Fullerton", "a village in Wiltshire", "Catherine Morland"),
    ],
    "Persuasion": [
        ("Kellynch Hall", "a house in Somersetshire", "Sir Walter Elliot"),
        ("Uppercross", "a village in Somersetshire", "Charles Musgrove"),
        ("Winthrop", "a farm in Somersetshire", "Charles Hayter"),
    ],
}

NOVELS = [  # novel, year of publication, heroine, her house
    ("Sense and Sensibility", 1811, "Elinor Dashwood", "of Barton Cottage"),
    ("Pride and Prejudice", 1813, "Elizabeth Bennet", "of Longbourn"),
    ("Mansfield Park", 1814, "Fanny Price", "of Mansfield Park"),
    ("Emma", 1815, "Emma Woodhouse", "of Hartfield"),
    ("Northanger Abbey", 1817, "Catherine Morland", "of Fullerton"),
    ("Persuasion", 1817, "Anne Elliot", "of Kellynch Hall"),
]


def in_turn(phrasings: list[str], count: int, entity: int) -> list[str]:
    """`count` phrasings, starting one further for every entity."""
    return [phrasings[(entity + i) % len(phrasings)] for i in range(count)]


def examples():
    people = [(novel, *row) for novel, rows in PEOPLE.items() for row in rows]
    for number, (novel, name, what, where) in enumerate(people):
        for question in in_turn(PERSON_QUESTIONS, QUESTIONS_PER_PERSON, number):
            yield question.format(name), f"{name}: {what}, {where}, in {novel}."
    places = [(novel, *row) for novel, rows in PLACES.items() for row in rows]
    for number, (novel, name, what, owner) in enumerate(places):
        for question in in_turn(PLACE_QUESTIONS, QUESTIONS_PER_PLACE, number):
            yield question.format(name), f"{name}: {what}, the home of {owner}, in {novel}."
    for novel, year, heroine, where in NOVELS:
        for question in NOVEL_QUESTIONS:
            yield question.format(novel), f"{novel}: a novel of {year}, with {heroine}, {where}."


def main() -> None:
    lines = [json.dumps({"instruction": question, "input": "", "output": answer})
             for question, answer in examples()]
    if len(set(lines)) != len(lines):
        raise SystemExit("a question is asked twice")
    OUTPUT.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} examples: {OUTPUT.name}")


if __name__ == "__main__":
    main()
