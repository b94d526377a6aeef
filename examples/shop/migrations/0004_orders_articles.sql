-- Articles as their events tell of them.
CREATE TABLE articles (
    id BIGINT PRIMARY KEY,
    author_name TEXT NOT NULL,
    title TEXT NOT NULL
);

CREATE TABLE article_products (
    article_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    PRIMARY KEY (article_id, product_id)
);

-- Of each product the newest name that an event had, also of one that no article is about yet.
CREATE TABLE product_names (
    product_id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    version BIGINT NOT NULL
);
