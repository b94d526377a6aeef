-- Grows with each change: of two names of a product, the one of the higher version is the newer.
ALTER TABLE products ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

CREATE TABLE articles (
    id BIGINT PRIMARY KEY,
    author_id BIGINT NOT NULL,
    author_name TEXT NOT NULL,
    title TEXT NOT NULL,
    content TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- What an article is about. A product that is deleted keeps its last name here.
CREATE TABLE article_products (
    article_id BIGINT NOT NULL,
    product_id BIGINT NOT NULL,
    product_name TEXT NOT NULL,
    PRIMARY KEY (article_id, product_id)
);
CREATE INDEX article_products_by_product ON article_products (product_id);

INSERT INTO numbers (name, last) VALUES ('articles', 0);
