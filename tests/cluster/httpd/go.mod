module serin.test/cluster/httpd

go 1.26.0
