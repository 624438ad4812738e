-- owns_project: whether a project is the user's.
SELECT EXISTS (SELECT FROM public.projects WHERE id = %(project)s AND user_id = %(user)s) AS owned
